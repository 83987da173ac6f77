ALTER TABLE "risk_decisions" ADD COLUMN "requested_by" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "risk_decisions" ADD COLUMN "session_digest" "bytea";--> statement-breakpoint
ALTER TABLE "risk_decisions" ADD COLUMN "stated" json;--> statement-breakpoint
ALTER TABLE "approvals" ADD COLUMN "use_time" timestamp (3) with time zone;