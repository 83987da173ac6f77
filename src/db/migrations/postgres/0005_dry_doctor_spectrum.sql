ALTER TABLE "users" ADD COLUMN "primary_factor_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "drift_steps" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "replaces_device_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "totp_devices" ADD COLUMN "version" bigint DEFAULT 1 NOT NULL;