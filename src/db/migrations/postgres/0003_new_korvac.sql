CREATE TABLE "risk_policy_versions" (
	"tenant_id" text PRIMARY KEY NOT NULL,
	"version" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "risk_policies" (
	"tenant_id" text NOT NULL,
	"level" text NOT NULL,
	"policy_id" text NOT NULL,
	"requirement" json NOT NULL,
	"description" text NOT NULL,
	"enabled" boolean NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "risk_policies_tenant_id_level_pk" PRIMARY KEY("tenant_id","level")
);
--> statement-breakpoint
CREATE TABLE "risk_histories" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"history" json NOT NULL,
	"last_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "risk_histories_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "risk_decisions" (
	"tenant_id" text NOT NULL,
	"decision_id" text NOT NULL,
	"user_id" text NOT NULL,
	"level" text NOT NULL,
	"decision" text NOT NULL,
	"reasons" json NOT NULL,
	"requirement" json NOT NULL,
	"standing" json NOT NULL,
	"look" json,
	"new_device" boolean NOT NULL,
	"policy_version" bigint NOT NULL,
	"ip" text NOT NULL,
	"application" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "risk_decisions_tenant_id_decision_id_pk" PRIMARY KEY("tenant_id","decision_id")
);
--> statement-breakpoint
CREATE TABLE "enforcement_rules" (
	"tenant_id" text NOT NULL,
	"rule_id" text NOT NULL,
	"description" text NOT NULL,
	"selector" json NOT NULL,
	"strength" text NOT NULL,
	"grace_ms" bigint NOT NULL,
	"start_time" timestamp (3) with time zone NOT NULL,
	"report_only" boolean NOT NULL,
	"enabled" boolean NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "enforcement_rules_tenant_id_rule_id_pk" PRIMARY KEY("tenant_id","rule_id")
);
--> statement-breakpoint
CREATE TABLE "enforcement_deadlines" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"rule_id" text NOT NULL,
	"deadline" timestamp (3) with time zone NOT NULL,
	"applies" boolean NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "enforcement_deadlines_tenant_id_user_id_rule_id_pk" PRIMARY KEY("tenant_id","user_id","rule_id")
);
--> statement-breakpoint
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
CREATE TABLE "approvals" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"approval_id" text NOT NULL,
	"reset" json NOT NULL,
	"reason" text NOT NULL,
	"requester_id" text NOT NULL,
	"state" text NOT NULL,
	"decider_id" text NOT NULL,
	"decide_reason" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"decide_time" timestamp (3) with time zone,
	CONSTRAINT "approvals_tenant_id_approval_id_pk" PRIMARY KEY("tenant_id","approval_id")
);
--> statement-breakpoint
CREATE TABLE "tombstones" (
	"tenant_id" text NOT NULL,
	"user_digest" text NOT NULL,
	"erasure_id" text NOT NULL,
	"receipt_id" text NOT NULL,
	"state" text NOT NULL,
	"removed" json NOT NULL,
	"pseudonymised_count" integer NOT NULL,
	"erased_before" boolean NOT NULL,
	"erase_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "tombstones_tenant_id_user_digest_erasure_id_pk" PRIMARY KEY("tenant_id","user_digest","erasure_id")
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "cool_down_until_time" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "events" ADD COLUMN "challenge_digest" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "decision_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "groups" json;--> statement-breakpoint
ALTER TABLE "challenges" ADD COLUMN "proofs" json;--> statement-breakpoint
CREATE INDEX "risk_histories_by_time" ON "risk_histories" USING btree ("last_time");--> statement-breakpoint
CREATE INDEX "risk_decisions_by_time" ON "risk_decisions" USING btree ("tenant_id","create_time","decision_id");--> statement-breakpoint
CREATE INDEX "risk_decisions_by_user" ON "risk_decisions" USING btree ("tenant_id","user_id","create_time");--> statement-breakpoint
CREATE INDEX "enforcement_deadlines_by_rule" ON "enforcement_deadlines" USING btree ("tenant_id","rule_id");--> statement-breakpoint
CREATE UNIQUE INDEX "task_runs_by_fence" ON "task_runs" USING btree ("task_name","fence");--> statement-breakpoint
CREATE INDEX "task_runs_by_time" ON "task_runs" USING btree ("task_name","start_time","run_id");--> statement-breakpoint
CREATE INDEX "approvals_by_time" ON "approvals" USING btree ("tenant_id","create_time","approval_id");--> statement-breakpoint
CREATE INDEX "approvals_by_user" ON "approvals" USING btree ("tenant_id","user_id");--> statement-breakpoint
CREATE INDEX "request_ids_by_end" ON "request_ids" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "request_ids_by_user" ON "request_ids" USING btree ("tenant_id","user_id");--> statement-breakpoint
CREATE INDEX "tickets_by_end" ON "tickets" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "totp_devices_by_end" ON "totp_devices" USING btree ("expire_time") WHERE "totp_devices"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "otp_addresses_by_end" ON "otp_addresses" USING btree ("expire_time") WHERE "otp_addresses"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "otp_challenges_by_end" ON "otp_challenges" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "backup_code_sets_by_end" ON "backup_code_sets" USING btree ("expire_time") WHERE "backup_code_sets"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "temporary_passes_by_end" ON "temporary_passes" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "challenges_by_end" ON "challenges" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "webauthn_ceremonies_by_end" ON "webauthn_ceremonies" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "assertions_by_end" ON "assertions" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "trusted_devices_by_end" ON "trusted_devices" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "push_devices_by_end" ON "push_devices" USING btree ("expire_time") WHERE "push_devices"."expire_time" is not null;