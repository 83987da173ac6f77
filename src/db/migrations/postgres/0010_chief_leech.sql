ALTER TABLE "tenant_settings" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "otp_addresses" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "otp_challenges" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "temporary_passes" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "webauthn_ceremonies" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "ip_whitelist" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "risk_policies" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "risk_histories" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "risk_decisions" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "enforcement_rules" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "enforcement_deadlines" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "assertions" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "trusted_devices" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "push_devices" ADD COLUMN "bound_mac" "bytea";--> statement-breakpoint
ALTER TABLE "push_challenges" ADD COLUMN "bound_mac" "bytea";