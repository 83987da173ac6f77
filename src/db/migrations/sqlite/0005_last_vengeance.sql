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
CREATE INDEX `task_runs_by_time` ON `task_runs` (`task_name`,`start_time`,`run_id`);