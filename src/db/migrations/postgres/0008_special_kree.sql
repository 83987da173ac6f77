ALTER TABLE "request_ids" ADD COLUMN "user_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "request_ids" ADD COLUMN "body_digest" "bytea";--> statement-breakpoint
ALTER TABLE "request_ids" ADD COLUMN "sealed_reply" "bytea";