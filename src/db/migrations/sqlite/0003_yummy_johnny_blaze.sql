CREATE TABLE `backup_code_sets` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`state` text NOT NULL,
	`set_id` text NOT NULL,
	`total` integer NOT NULL,
	`remaining` integer NOT NULL,
	`pepper_id` text NOT NULL,
	`create_time` integer NOT NULL,
	`confirm_time` integer,
	`last_use_time` integer,
	`low_time` integer,
	`expire_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `state`)
);
--> statement-breakpoint
CREATE INDEX `backup_code_sets_by_time` ON `backup_code_sets` (`tenant_id`,`create_time`,`set_id`);--> statement-breakpoint
CREATE TABLE `backup_codes` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`set_id` text NOT NULL,
	`code_id` text NOT NULL,
	`selector` text NOT NULL,
	`salt` blob NOT NULL,
	`verifier` blob NOT NULL,
	`create_time` integer NOT NULL,
	`use_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `code_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `backup_codes_by_selector` ON `backup_codes` (`tenant_id`,`user_id`,`set_id`,`selector`);