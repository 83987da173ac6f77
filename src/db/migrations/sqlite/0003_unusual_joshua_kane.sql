CREATE TABLE `risk_policy_versions` (
	`tenant_id` text PRIMARY KEY NOT NULL,
	`version` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `risk_policies` (
	`tenant_id` text NOT NULL,
	`level` text NOT NULL,
	`policy_id` text NOT NULL,
	`requirement` text NOT NULL,
	`description` text NOT NULL,
	`enabled` integer NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `level`)
);
--> statement-breakpoint
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
CREATE INDEX `risk_decisions_by_user` ON `risk_decisions` (`tenant_id`,`user_id`,`create_time`);--> statement-breakpoint
CREATE TABLE `enforcement_rules` (
	`tenant_id` text NOT NULL,
	`rule_id` text NOT NULL,
	`description` text NOT NULL,
	`selector` text NOT NULL,
	`strength` text NOT NULL,
	`grace_ms` integer NOT NULL,
	`start_time` integer NOT NULL,
	`report_only` integer NOT NULL,
	`enabled` integer NOT NULL,
	`version` integer NOT NULL,
	`create_time` integer NOT NULL,
	`update_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `rule_id`)
);
--> statement-breakpoint
CREATE TABLE `enforcement_deadlines` (
	`tenant_id` text NOT NULL,
	`user_id` text NOT NULL,
	`rule_id` text NOT NULL,
	`deadline` integer NOT NULL,
	`applies` integer NOT NULL,
	`create_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_id`, `rule_id`)
);
--> statement-breakpoint
CREATE INDEX `enforcement_deadlines_by_rule` ON `enforcement_deadlines` (`tenant_id`,`rule_id`);--> statement-breakpoint
CREATE TABLE `scheduled_tasks` (
	`name` text PRIMARY KEY NOT NULL,
	`schedule` text NOT NULL,
	`paused` integer NOT NULL,
	`next_run_time` integer NOT NULL,
	`request_time` integer,
	`fence` integer NOT NULL,
	`run_id` text,
	`lease_owner` text NOT NULL,
	`lease_expire_time` integer,
	`last_count` integer NOT NULL,
	`last_error` text NOT NULL,
	`last_duration_ms` integer,
	`last_run_time` integer
);
--> statement-breakpoint
CREATE TABLE `task_runs` (
	`run_id` text PRIMARY KEY NOT NULL,
	`task_name` text NOT NULL,
	`fence` integer NOT NULL,
	`outcome` text NOT NULL,
	`instance` text NOT NULL,
	`manual` integer NOT NULL,
	`count` integer NOT NULL,
	`error` text NOT NULL,
	`scheduled_time` integer NOT NULL,
	`start_time` integer NOT NULL,
	`end_time` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `task_runs_by_fence` ON `task_runs` (`task_name`,`fence`);--> statement-breakpoint
CREATE INDEX `task_runs_by_time` ON `task_runs` (`task_name`,`start_time`,`run_id`);--> statement-breakpoint
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
CREATE TABLE `tombstones` (
	`tenant_id` text NOT NULL,
	`user_digest` text NOT NULL,
	`erasure_id` text NOT NULL,
	`receipt_id` text NOT NULL,
	`state` text NOT NULL,
	`removed` text NOT NULL,
	`pseudonymised_count` integer NOT NULL,
	`erased_before` integer NOT NULL,
	`erase_time` integer NOT NULL,
	PRIMARY KEY(`tenant_id`, `user_digest`, `erasure_id`)
);
--> statement-breakpoint
ALTER TABLE `users` ADD `cool_down_until_time` integer;--> statement-breakpoint
ALTER TABLE `events` ADD `challenge_digest` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `challenges` ADD `decision_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `challenges` ADD `groups` text;--> statement-breakpoint
ALTER TABLE `challenges` ADD `proofs` text;--> statement-breakpoint
CREATE INDEX `challenges_by_end` ON `challenges` (`expire_time`);--> statement-breakpoint
CREATE INDEX `request_ids_by_end` ON `request_ids` (`expire_time`);--> statement-breakpoint
CREATE INDEX `request_ids_by_user` ON `request_ids` (`tenant_id`,`user_id`);--> statement-breakpoint
CREATE INDEX `tickets_by_end` ON `tickets` (`expire_time`);--> statement-breakpoint
CREATE INDEX `totp_devices_by_end` ON `totp_devices` (`expire_time`) WHERE "totp_devices"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX `otp_addresses_by_end` ON `otp_addresses` (`expire_time`) WHERE "otp_addresses"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX `otp_challenges_by_end` ON `otp_challenges` (`expire_time`);--> statement-breakpoint
CREATE INDEX `backup_code_sets_by_end` ON `backup_code_sets` (`expire_time`) WHERE "backup_code_sets"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX `temporary_passes_by_end` ON `temporary_passes` (`expire_time`);--> statement-breakpoint
CREATE INDEX `webauthn_ceremonies_by_end` ON `webauthn_ceremonies` (`expire_time`);--> statement-breakpoint
CREATE INDEX `assertions_by_end` ON `assertions` (`expire_time`);--> statement-breakpoint
CREATE INDEX `trusted_devices_by_end` ON `trusted_devices` (`expire_time`);--> statement-breakpoint
CREATE INDEX `push_devices_by_end` ON `push_devices` (`expire_time`) WHERE "push_devices"."expire_time" is not null;