CREATE TABLE `trusted_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`trusted_device_id` text NOT NULL,
	`series_digest` blob NOT NULL,
	`counter` integer NOT NULL,
	`secret_digest` blob NOT NULL,
	`previous_digest` blob,
	`rotate_time` integer NOT NULL,
	`display_name` text NOT NULL,
	`user_agent` text NOT NULL,
	`ip` text NOT NULL,
	`application` text NOT NULL,
	`mfa_epoch` integer NOT NULL,
	`create_time` integer NOT NULL,
	`last_use_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `trusted_device_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `trusted_devices_by_series` ON `trusted_devices` (`tenant_id`,`user_id`,`series_digest`);--> statement-breakpoint
CREATE TABLE `synced_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`synced_device_id` text NOT NULL,
	`display_name` text NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `synced_device_id`)
);
--> statement-breakpoint
CREATE TABLE `synced_blobs` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`synced_device_id` text NOT NULL,
	`version` integer NOT NULL,
	`blob` blob NOT NULL,
	`checksum` blob NOT NULL,
	`size` integer NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `synced_device_id`, `version`)
);
