CREATE TABLE `approvals` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`approval_id` text NOT NULL,
	`reset` text NOT NULL,
	`reason` text NOT NULL,
	`requester_id` text NOT NULL,
	`state` text NOT NULL,
	`decider_id` text NOT NULL,
	`decide_reason` text NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`decide_time` integer,
	PRIMARY KEY(`tenant_id`, `approval_id`)
);
--> statement-breakpoint
CREATE INDEX `approvals_by_time` ON `approvals` (`tenant_id`,`create_time`,`approval_id`);--> statement-breakpoint
CREATE INDEX `approvals_by_user` ON `approvals` (`tenant_id`,`user_id`);--> statement-breakpoint
ALTER TABLE `users` ADD `cool_down_until_time` integer;