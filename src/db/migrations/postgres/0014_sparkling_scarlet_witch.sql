ALTER TABLE "attempts" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "audit_subjects" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "outbox_messages" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "webhook_endpoints" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "approvals" ADD COLUMN "bound_mac" "bytea";