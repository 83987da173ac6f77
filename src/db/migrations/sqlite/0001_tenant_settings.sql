CREATE TABLE `tenant_settings` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL,
	`settings` text NOT NULL,
	`update_time` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `reason` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `before` text;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `after` text;