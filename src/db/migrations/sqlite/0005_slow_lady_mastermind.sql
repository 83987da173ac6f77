ALTER TABLE `users` ADD `primary_factor_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `drift_steps` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `replaces_device_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `version` integer DEFAULT 1 NOT NULL;