CREATE TABLE "scheduled_tasks" (
	"name" text PRIMARY KEY NOT NULL,
	"schedule" text NOT NULL,
	"paused" boolean NOT NULL,
	"next_run_time" timestamp (3) with time zone NOT NULL,
	"request_time" timestamp (3) with time zone,
	"fence" bigint NOT NULL,
	"run_id" text,
	"lease_owner" text NOT NULL,
	"lease_expire_time" timestamp (3) with time zone,
	"last_count" bigint NOT NULL,
	"last_error" text NOT NULL,
	"last_duration_ms" bigint,
	"last_run_time" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "task_runs" (
	"run_id" text PRIMARY KEY NOT NULL,
	"task_name" text NOT NULL,
	"fence" bigint NOT NULL,
	"outcome" text NOT NULL,
	"instance" text NOT NULL,
	"manual" boolean NOT NULL,
	"count" bigint NOT NULL,
	"error" text NOT NULL,
	"scheduled_time" timestamp (3) with time zone NOT NULL,
	"start_time" timestamp (3) with time zone NOT NULL,
	"end_time" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE UNIQUE INDEX "task_runs_by_fence" ON "task_runs" USING btree ("task_name","fence");--> statement-breakpoint
CREATE INDEX "task_runs_by_time" ON "task_runs" USING btree ("task_name","start_time","run_id");