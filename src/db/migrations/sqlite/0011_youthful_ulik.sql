CREATE TABLE `tombstones` (
	`tenant_id` text NOT NULL,
	`user_digest` text NOT NULL,
	`erasure_id` text NOT NULL,
	`receipt_id` text NOT NULL,
	`state` text NOT NULL,
	`removed` text NOT NULL,
	`pseudonymised_count` integer NOT NULL,
	`erased_before` integer NOT NULL,
	`erase_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_digest`, `erasure_id`)
);
--> statement-breakpoint
CREATE INDEX `request_ids_by_user` ON `request_ids` (`tenant_id`,`user_id`);