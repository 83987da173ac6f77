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
CREATE UNIQUE INDEX `ip_whitelist_by_cidr` ON `ip_whitelist` (`tenant_id`,`cidr`);