CREATE TABLE `outbox_messages` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`message_id` text NOT NULL,
	`channel` text NOT NULL,
	`kind` text NOT NULL,
	`idempotency_key` text NOT NULL,
	`data` text NOT NULL,
	`sealed_content` blob,
	`state` text NOT NULL,
	`attempts` integer NOT NULL,
	`lease_id` text,
	`next_attempt_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`provider` text NOT NULL,
	`last_error` text NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `message_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `outbox_messages_by_key` ON `outbox_messages` (`tenant_id`,`idempotency_key`);--> statement-breakpoint
CREATE INDEX `outbox_messages_by_user` ON `outbox_messages` (`tenant_id`,`user_id`,`create_time`);--> statement-breakpoint
CREATE INDEX `outbox_messages_due` ON `outbox_messages` (`state`,`channel`,`next_attempt_time`);