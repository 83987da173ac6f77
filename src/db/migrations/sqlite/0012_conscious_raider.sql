CREATE TABLE `audit_subjects` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`pseudonym` text NOT NULL,
	`key` blob NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_subjects_by_pseudonym` ON `audit_subjects` (`tenant_id`,`pseudonym`);--> statement-breakpoint
CREATE TABLE `audit_heads` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`sequence` integer NOT NULL,
	`hash` blob NOT NULL,
	`mac` blob NOT NULL,
	`floor_sequence` integer NOT NULL,
	`floor_hash` blob NOT NULL,
	`floor_mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_checkpoints` (
	`tenant_id` text NOT NULL,
	`sequence` integer NOT NULL,
	`hash` blob NOT NULL,
	`token` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `sequence`)
);
--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `sequence` integer;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `hash` blob;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `module` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `target_type` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `request_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `outcome` text DEFAULT 'SUCCESS' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `ip` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `sealed_ip` blob;--> statement-breakpoint
CREATE UNIQUE INDEX `audit_entries_by_sequence` ON `audit_entries` (`tenant_id`,`sequence`);