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
