CREATE TABLE `webhook_endpoints` (
	`tenant_id` text NOT NULL,
	`endpoint_id` text NOT NULL,
	`url` text NOT NULL,
	`description` text NOT NULL,
	`types` text NOT NULL,
	`paused` integer NOT NULL,
	`sealed_secret` blob NOT NULL,
	`sealed_old_secret` blob,
	`old_secret_expire_time` integer,
	`version` integer NOT NULL,
	`position` integer NOT NULL,
	`replays` integer NOT NULL,
	`lease_id` text,
	`next_attempt_time` integer NOT NULL,
	`failures` integer NOT NULL,
	`last_error` text NOT NULL,
	`last_success_time` integer,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `endpoint_id`)
);
--> statement-breakpoint
CREATE INDEX `webhook_endpoints_due` ON `webhook_endpoints` (`paused`,`next_attempt_time`);