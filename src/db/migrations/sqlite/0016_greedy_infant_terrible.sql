CREATE TABLE `event_streams` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`position` integer NOT NULL,
	`floor` integer NOT NULL,
	`floor_time` integer
);
--> statement-breakpoint
ALTER TABLE `events` ADD `position` integer;--> statement-breakpoint
ALTER TABLE `events` ADD `ip` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `user_agent` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `application` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `actor_type` text DEFAULT 'UNSPECIFIED' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `actor_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `mfa_epoch` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `events_by_position` ON `events` (`position`,`tenant_id`);--> statement-breakpoint
CREATE INDEX `events_of_tenant` ON `events` (`tenant_id`,`position`);