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
CREATE TABLE `tickets` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`digest` blob NOT NULL,
	`first_factor_time` integer NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`spend_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `digest`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `tickets_digest` ON `tickets` (`digest`);--> statement-breakpoint
CREATE TABLE `audit_subjects` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`pseudonym` text NOT NULL,
	`key` blob NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `audit_subjects_by_pseudonym` ON `audit_subjects` (`tenant_id`,`pseudonym`);--> statement-breakpoint
CREATE TABLE `audit_heads` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`sequence` integer NOT NULL,
	`hash` blob NOT NULL,
	`mac` blob NOT NULL,
	`floor_sequence` integer NOT NULL,
	`floor_hash` blob NOT NULL,
	`floor_mac` blob NOT NULL
);
--> statement-breakpoint
CREATE TABLE `audit_checkpoints` (
	`tenant_id` text NOT NULL,
	`sequence` integer NOT NULL,
	`hash` blob NOT NULL,
	`token` text NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `sequence`)
);
--> statement-breakpoint
CREATE TABLE `event_streams` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`position` integer NOT NULL,
	`floor` integer NOT NULL,
	`floor_time` integer
);
--> statement-breakpoint
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
CREATE INDEX `outbox_messages_due` ON `outbox_messages` (`state`,`channel`,`next_attempt_time`);--> statement-breakpoint
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
CREATE INDEX `send_decisions_by_time` ON `send_decisions` (`tenant_id`,`create_time`);--> statement-breakpoint
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
CREATE UNIQUE INDEX `backup_codes_by_selector` ON `backup_codes` (`tenant_id`,`user_id`,`set_id`,`selector`);--> statement-breakpoint
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
--> statement-breakpoint
CREATE TABLE `challenges` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`challenge_id` text NOT NULL,
	`state` text NOT NULL,
	`purpose` text NOT NULL,
	`created_by` text NOT NULL,
	`session_digest` blob,
	`audience` text NOT NULL,
	`nonce` text NOT NULL,
	`action_type` text NOT NULL,
	`action_digest` blob,
	`rendered_action` text NOT NULL,
	`allowed_types` text NOT NULL,
	`strength` text NOT NULL,
	`requires_binding` integer NOT NULL,
	`offers` text NOT NULL,
	`prepared_type` text NOT NULL,
	`prepared_factor_id` text NOT NULL,
	`proven_type` text NOT NULL,
	`proven_factor_id` text NOT NULL,
	`facts` text,
	`mfa_epoch` integer NOT NULL,
	`create_time` integer NOT NULL,
	`prove_time` integer,
	`expire_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `challenge_id`)
);
--> statement-breakpoint
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
CREATE INDEX `webauthn_ceremonies_by_challenge` ON `webauthn_ceremonies` (`tenant_id`,`user_id`,`challenge_digest`);--> statement-breakpoint
CREATE TABLE `ip_whitelist` (
	`tenant_id` text NOT NULL,
	`entry_id` text NOT NULL,
	`cidr` text NOT NULL,
	`label` text NOT NULL,
	`enabled` integer NOT NULL,
	`expire_time` integer,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `entry_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `ip_whitelist_by_cidr` ON `ip_whitelist` (`tenant_id`,`cidr`);--> statement-breakpoint
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
--> statement-breakpoint
CREATE TABLE `trusted_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`trusted_device_id` text NOT NULL,
	`series_digest` blob NOT NULL,
	`counter` integer NOT NULL,
	`secret_digest` blob NOT NULL,
	`previous_digest` blob,
	`rotate_time` integer NOT NULL,
	`display_name` text NOT NULL,
	`user_agent` text NOT NULL,
	`ip` text NOT NULL,
	`application` text NOT NULL,
	`mfa_epoch` integer NOT NULL,
	`create_time` integer NOT NULL,
	`last_use_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `trusted_device_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `trusted_devices_by_series` ON `trusted_devices` (`tenant_id`,`user_id`,`series_digest`);--> statement-breakpoint
CREATE TABLE `synced_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`synced_device_id` text NOT NULL,
	`display_name` text NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `synced_device_id`)
);
--> statement-breakpoint
CREATE TABLE `synced_blobs` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`synced_device_id` text NOT NULL,
	`version` integer NOT NULL,
	`blob` blob NOT NULL,
	`checksum` blob NOT NULL,
	`size` integer NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `synced_device_id`, `version`)
);
--> statement-breakpoint
CREATE TABLE `webhook_endpoints` (
	`tenant_id` text NOT NULL,
	`endpoint_id` text NOT NULL,
	`url` text NOT NULL,
	`description` text NOT NULL,
	`types` text NOT NULL,
	`paused` integer NOT NULL,
	`sealed_secret` blob NOT NULL,
	`sealed_old_secret` blob,
	`old_secret_expire_time` integer,
	`version` integer NOT NULL,
	`position` integer NOT NULL,
	`replays` integer NOT NULL,
	`lease_id` text,
	`next_attempt_time` integer NOT NULL,
	`failures` integer NOT NULL,
	`last_error` text NOT NULL,
	`last_success_time` integer,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `endpoint_id`)
);
--> statement-breakpoint
CREATE INDEX `webhook_endpoints_due` ON `webhook_endpoints` (`paused`,`next_attempt_time`);--> statement-breakpoint
CREATE TABLE `push_devices` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`device_id` text NOT NULL,
	`display_name` text NOT NULL,
	`state` text NOT NULL,
	`channel` text NOT NULL,
	`channel_gone` integer NOT NULL,
	`sealed_address` blob,
	`address_version` integer NOT NULL,
	`key_algorithm` text NOT NULL,
	`public_key` blob,
	`key_mac` blob,
	`platform` text NOT NULL,
	`pairing_digest` blob,
	`session_digest` blob,
	`first` integer NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	`last_use_time` integer,
	`expire_time` integer,
	PRIMARY KEY(`tenant_id`, `user_id`, `device_id`)
);
--> statement-breakpoint
CREATE UNIQUE INDEX `push_devices_by_id` ON `push_devices` (`device_id`);--> statement-breakpoint
CREATE INDEX `push_devices_by_pairing` ON `push_devices` (`pairing_digest`);--> statement-breakpoint
CREATE TABLE `push_challenges` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`push_id` text NOT NULL,
	`row_id` text NOT NULL,
	`challenge_id` text NOT NULL,
	`device_id` text NOT NULL,
	`created_by` text NOT NULL,
	`session_digest` blob,
	`state` text NOT NULL,
	`nonce` blob NOT NULL,
	`number_digest` blob,
	`number_length` integer NOT NULL,
	`context` text NOT NULL,
	`action_digest` blob,
	`attempts` integer NOT NULL,
	`wrong_numbers` integer NOT NULL,
	`deny_reason` text NOT NULL,
	`decided_device_id` text NOT NULL,
	`create_time` integer NOT NULL,
	`expire_time` integer NOT NULL,
	`decide_time` integer,
	`answer_ms` integer,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `push_id`)
);
--> statement-breakpoint
CREATE INDEX `push_challenges_by_user` ON `push_challenges` (`tenant_id`,`user_id`,`create_time`,`row_id`);--> statement-breakpoint
CREATE INDEX `push_challenges_by_time` ON `push_challenges` (`tenant_id`,`create_time`,`row_id`);--> statement-breakpoint
CREATE INDEX `push_challenges_by_challenge` ON `push_challenges` (`tenant_id`,`user_id`,`challenge_id`);--> statement-breakpoint
CREATE TABLE `push_blocks` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`hour` integer NOT NULL,
	`count` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `hour`)
);
--> statement-breakpoint
CREATE INDEX `push_blocks_by_time` ON `push_blocks` (`tenant_id`,`hour`);--> statement-breakpoint
CREATE TABLE `vapid_keys` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`public_key` blob NOT NULL,
	`sealed_private_key` blob NOT NULL,
	`create_time` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `users` ADD `primary_factor_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `count_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `consecutive_failures` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `recent` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `attempts` ADD `lock_time` integer;--> statement-breakpoint
CREATE INDEX `attempts_by_lock` ON `attempts` (`tenant_id`,`lock_expire_time`) WHERE "attempts"."lock_expire_time" is not null;--> statement-breakpoint
ALTER TABLE `request_ids` ADD `user_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `request_ids` ADD `body_digest` blob;--> statement-breakpoint
ALTER TABLE `request_ids` ADD `sealed_reply` blob;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `sequence` integer;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `hash` blob;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `module` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `target_type` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `request_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `outcome` text DEFAULT 'SUCCESS' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `ip` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `audit_entries` ADD `sealed_ip` blob;--> statement-breakpoint
CREATE UNIQUE INDEX `audit_entries_by_sequence` ON `audit_entries` (`tenant_id`,`sequence`);--> statement-breakpoint
ALTER TABLE `events` ADD `position` integer;--> statement-breakpoint
ALTER TABLE `events` ADD `ip` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `user_agent` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `application` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `actor_type` text DEFAULT 'UNSPECIFIED' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `actor_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `events` ADD `mfa_epoch` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX `events_by_position` ON `events` (`position`,`tenant_id`);--> statement-breakpoint
CREATE INDEX `events_of_tenant` ON `events` (`tenant_id`,`position`);--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `drift_steps` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `drift_hint` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `replaces_device_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `totp_devices` ADD `version` integer DEFAULT 1 NOT NULL;