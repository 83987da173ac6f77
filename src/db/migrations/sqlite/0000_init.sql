CREATE TABLE `installation` (
	`name` text PRIMARY KEY NOT NULL,
	`value` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `key_checks` (
	`key_id` text PRIMARY KEY NOT NULL,
	`check_value` blob NOT NULL,
	`create_time` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `data_keys` (
	`tenant_id` text NOT NULL,
	`key_id` text NOT NULL,
	`wrapping_key_id` text NOT NULL,
	`wrapped` blob NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `key_id`)
);
--> statement-breakpoint
CREATE TABLE `users` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`mfa_epoch` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
--> statement-breakpoint
CREATE TABLE `attempts` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`counter` text NOT NULL,
	`failures` integer NOT NULL,
	`locks` integer NOT NULL,
	`lock_expire_time` integer,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `counter`)
);
--> statement-breakpoint
CREATE TABLE `request_ids` (
	`tenant_id` text NOT NULL,
	`subject` text NOT NULL,
	`rpc` text NOT NULL,
	`request_id` text NOT NULL,
	`expire_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `subject`, `rpc`, `request_id`)
);
--> statement-breakpoint
CREATE TABLE `audit_entries` (
	`tenant_id` text NOT NULL,
	`entry_id` text NOT NULL,
	`action` text NOT NULL,
	`actor_type` text NOT NULL,
	`actor_id` text NOT NULL,
	`user_id` text NOT NULL,
	`target_id` text NOT NULL,
	`rpc` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `entry_id`)
);
--> statement-breakpoint
CREATE INDEX `audit_entries_by_time` ON `audit_entries` (`tenant_id`,`create_time`,`entry_id`);--> statement-breakpoint
CREATE INDEX `audit_entries_by_user` ON `audit_entries` (`tenant_id`,`user_id`);--> statement-breakpoint
CREATE TABLE `events` (
	`tenant_id` text NOT NULL,
	`event_id` text NOT NULL,
	`user_id` text NOT NULL,
	`type` text NOT NULL,
	`factor_type` text NOT NULL,
	`failure_reason` text NOT NULL,
	`factor_id` text NOT NULL,
	`rpc` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `event_id`)
);
--> statement-breakpoint
CREATE INDEX `events_by_time` ON `events` (`tenant_id`,`create_time`,`event_id`);--> statement-breakpoint
CREATE INDEX `events_by_user` ON `events` (`tenant_id`,`user_id`);--> statement-breakpoint
CREATE TABLE `totp_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`display_name` text NOT NULL,
	`state` text NOT NULL,
	`algorithm` text NOT NULL,
	`digits` integer NOT NULL,
	`period_seconds` integer NOT NULL,
	`sealed_secret` blob NOT NULL,
	`last_step` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	`last_use_time` integer,
	`expire_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `device_id`)
);
