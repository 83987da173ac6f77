CREATE TABLE `budgets` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`budget` text NOT NULL,
	`key` text NOT NULL,
	`slices` text NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `budget`, `key`)
);
--> statement-breakpoint
CREATE TABLE `otp_addresses` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`factor_id` text NOT NULL,
	`channel` text NOT NULL,
	`state` text NOT NULL,
	`sealed_address` blob NOT NULL,
	`address_digest` blob NOT NULL,
	`masked` text NOT NULL,
	`country` text NOT NULL,
	`block` text NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	`verify_time` integer,
	`last_use_time` integer,
	`expire_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `factor_id`)
);
--> statement-breakpoint
CREATE TABLE `otp_challenges` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`challenge_id` text NOT NULL,
	`channel` text NOT NULL,
	`factor_id` text NOT NULL,
	`purpose` text NOT NULL,
	`session_id` text NOT NULL,
	`code_digest` blob NOT NULL,
	`message_id` text NOT NULL,
	`create_time` integer NOT NULL,
	`code_time` integer NOT NULL,
	`resend_after_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`spend_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `challenge_id`)
);
--> statement-breakpoint
CREATE TABLE `send_decisions` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`decision_id` text NOT NULL,
	`channel` text NOT NULL,
	`purpose` text NOT NULL,
	`decision` text NOT NULL,
	`reasons` text NOT NULL,
	`masked` text NOT NULL,
	`country` text NOT NULL,
	`ip` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `decision_id`)
);
--> statement-breakpoint
CREATE INDEX `send_decisions_by_user` ON `send_decisions` (`tenant_id`,`user_id`,`create_time`);--> statement-breakpoint
CREATE INDEX `send_decisions_by_time` ON `send_decisions` (`tenant_id`,`create_time`);