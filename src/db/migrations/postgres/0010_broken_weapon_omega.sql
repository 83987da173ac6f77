ALTER TABLE "challenges" ADD COLUMN "decision_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "groups" json;--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "proofs" json;