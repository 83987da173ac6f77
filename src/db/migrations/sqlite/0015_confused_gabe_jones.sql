CREATE TABLE `assertions` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`assertion_id` text NOT NULL,
	`mfa_epoch` integer NOT NULL,
	`prove_time` integer NOT NULL,
	`consume_time` integer,
	`expire_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `assertion_id`)
);
--> statement-breakpoint
CREATE TABLE `assertion_keys` (
	`sequence` integer PRIMARY KEY NOT NULL,
	`key_id` text NOT NULL,
	`algorithm` text NOT NULL,
	`public_key` text NOT NULL,
	`sealed_private_key` blob NOT NULL,
	`create_time` integer NOT NULL,
	`use_time` integer NOT NULL
);
