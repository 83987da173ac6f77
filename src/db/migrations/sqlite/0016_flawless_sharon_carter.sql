CREATE TABLE `prompts` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`prompt_id` text NOT NULL,
	`challenge_id` text NOT NULL,
	`client_id` text NOT NULL,
	`return_url` text NOT NULL,
	`state` text NOT NULL,
	`code_challenge` text NOT NULL,
	`locale` text NOT NULL,
	`application` text NOT NULL,
	`ip` text NOT NULL,
	`user_agent` text NOT NULL,
	`handle_digest` blob NOT NULL,
	`cookie_digest` blob,
	`code_digest` blob,
	`code_expire_time` integer,
	`end_time` integer,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`bound_mac` blob,
	PRIMARY KEY(`tenant_id`, `user_id`, `prompt_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `prompts_id` ON `prompts` (`prompt_id`);--> statement-breakpoint
CREATE INDEX `prompts_by_end` ON `prompts` (`expire_time`);--> statement-breakpoint
ALTER TABLE `challenges` ADD `prompt_id` text DEFAULT '' NOT NULL;