CREATE TABLE `tickets` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`digest` blob NOT NULL,
	`first_factor_time` integer NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`spend_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `digest`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `tickets_digest` ON `tickets` (`digest`);