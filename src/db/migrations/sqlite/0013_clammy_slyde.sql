CREATE TABLE `webauthn_users` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`user_handle` blob NOT NULL,
	`user_name` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
--> statement-breakpoint
CREATE TABLE `webauthn_credentials` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`credential_id` text NOT NULL,
	`webauthn_id` blob NOT NULL,
	`rp_id` text NOT NULL,
	`public_key` blob NOT NULL,
	`algorithm` integer NOT NULL,
	`row_mac` blob NOT NULL,
	`counter` integer NOT NULL,
	`user_verified` integer NOT NULL,
	`backup_eligible` integer NOT NULL,
	`backed_up` integer NOT NULL,
	`transports` text NOT NULL,
	`attachment` text NOT NULL,
	`discoverable` integer NOT NULL,
	`aaguid` text NOT NULL,
	`attested` integer NOT NULL,
	`attestation_format` text NOT NULL,
	`clone_warning` integer NOT NULL,
	`display_name` text NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	`last_use_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `credential_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `webauthn_credentials_by_webauthn_id` ON `webauthn_credentials` (`webauthn_id`);--> statement-breakpoint
CREATE TABLE `webauthn_ceremonies` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`ceremony_id` text NOT NULL,
	`purpose` text NOT NULL,
	`challenge_digest` blob NOT NULL,
	`session_digest` blob NOT NULL,
	`challenge_id` text NOT NULL,
	`action_digest` blob,
	`rp_id` text NOT NULL,
	`user_verification` text NOT NULL,
	`discoverable` text NOT NULL,
	`attachment` text NOT NULL,
	`display_name` text NOT NULL,
	`user_name` text NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`spend_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `ceremony_id`)
);
--> statement-breakpoint
CREATE INDEX `webauthn_ceremonies_by_challenge` ON `webauthn_ceremonies` (`tenant_id`,`user_id`,`challenge_digest`);