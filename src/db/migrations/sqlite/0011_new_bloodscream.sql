CREATE TABLE `service_keys` (
	`tenant_id` text NOT NULL,
	`key_id` text NOT NULL,
	`digest` blob NOT NULL,
	`secret_prefix` text NOT NULL,
	`service` text NOT NULL,
	`scopes` text NOT NULL,
	`networks` text NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`revoke_time` integer,
	`last_use_time` integer,
	`bound_mac` blob,
	PRIMARY KEY(`tenant_id`, `key_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `service_keys_digest` ON `service_keys` (`digest`);--> statement-breakpoint
CREATE INDEX `service_keys_by_end` ON `service_keys` (`expire_time`);--> statement-breakpoint
ALTER TABLE `users` ADD `tokens_epoch` integer DEFAULT 0 NOT NULL;