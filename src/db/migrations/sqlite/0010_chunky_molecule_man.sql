CREATE TABLE `temporary_passes` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`pass_id` text NOT NULL,
	`issuer_id` text NOT NULL,
	`selector` text NOT NULL,
	`salt` blob NOT NULL,
	`verifier` blob NOT NULL,
	`start_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`create_time` integer NOT NULL,
	`use_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
