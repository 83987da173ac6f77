ALTER TABLE "webauthn_credentials" ADD COLUMN "backup_known" boolean;--> statement-breakpoint
ALTER TABLE "webauthn_credentials" ADD COLUMN "eligibility_changed" boolean;