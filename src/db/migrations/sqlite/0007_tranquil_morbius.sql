CREATE TABLE `risk_histories` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`history` text NOT NULL,
	`last_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
--> statement-breakpoint
CREATE INDEX `risk_histories_by_time` ON `risk_histories` (`last_time`);--> statement-breakpoint
CREATE TABLE `risk_decisions` (
	`tenant_id` text NOT NULL,
	`decision_id` text NOT NULL,
	`user_id` text NOT NULL,
	`level` text NOT NULL,
	`decision` text NOT NULL,
	`reasons` text NOT NULL,
	`requirement` text NOT NULL,
	`standing` text NOT NULL,
	`look` text,
	`new_device` integer NOT NULL,
	`policy_version` integer NOT NULL,
	`ip` text NOT NULL,
	`application` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `decision_id`)
);
--> statement-breakpoint
CREATE INDEX `risk_decisions_by_time` ON `risk_decisions` (`tenant_id`,`create_time`,`decision_id`);--> statement-breakpoint
CREATE INDEX `risk_decisions_by_user` ON `risk_decisions` (`tenant_id`,`user_id`,`create_time`);