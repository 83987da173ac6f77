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
CREATE INDEX `enforcement_deadlines_by_rule` ON `enforcement_deadlines` (`tenant_id`,`rule_id`);