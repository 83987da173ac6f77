CREATE TABLE "installation" (
	"name" text PRIMARY KEY NOT NULL,
	"value" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "key_checks" (
	"key_id" text NOT NULL,
	"check_value" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "key_checks_key_id_pk" PRIMARY KEY("key_id")
);
--> statement-breakpoint
CREATE TABLE "data_keys" (
	"tenant_id" text NOT NULL,
	"key_id" text NOT NULL,
	"wrapping_key_id" text NOT NULL,
	"wrapped" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "data_keys_tenant_id_key_id_pk" PRIMARY KEY("tenant_id","key_id")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"mfa_epoch" bigint NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "users_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "attempts" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"counter" text NOT NULL,
	"failures" integer NOT NULL,
	"locks" integer NOT NULL,
	"lock_expire_time" timestamp (3) with time zone,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "attempts_tenant_id_user_id_counter_pk" PRIMARY KEY("tenant_id","user_id","counter")
);
--> statement-breakpoint
CREATE TABLE "request_ids" (
	"tenant_id" text NOT NULL,
	"subject" text NOT NULL,
	"rpc" text NOT NULL,
	"request_id" text NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "request_ids_tenant_id_subject_rpc_request_id_pk" PRIMARY KEY("tenant_id","subject","rpc","request_id")
);
--> statement-breakpoint
CREATE TABLE "audit_entries" (
	"tenant_id" text NOT NULL,
	"entry_id" text NOT NULL,
	"action" text NOT NULL,
	"actor_type" text NOT NULL,
	"actor_id" text NOT NULL,
	"user_id" text NOT NULL,
	"target_id" text NOT NULL,
	"rpc" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "audit_entries_tenant_id_entry_id_pk" PRIMARY KEY("tenant_id","entry_id")
);
--> statement-breakpoint
CREATE TABLE "events" (
	"tenant_id" text NOT NULL,
	"event_id" text NOT NULL,
	"user_id" text NOT NULL,
	"type" text NOT NULL,
	"factor_type" text NOT NULL,
	"failure_reason" text NOT NULL,
	"factor_id" text NOT NULL,
	"rpc" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "events_tenant_id_event_id_pk" PRIMARY KEY("tenant_id","event_id")
);
--> statement-breakpoint
CREATE TABLE "totp_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"device_id" text NOT NULL,
	"display_name" text NOT NULL,
	"state" text NOT NULL,
	"algorithm" text NOT NULL,
	"digits" integer NOT NULL,
	"period_seconds" integer NOT NULL,
	"sealed_secret" "bytea" NOT NULL,
	"last_step" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "totp_devices_tenant_id_user_id_device_id_pk" PRIMARY KEY("tenant_id","user_id","device_id")
);
--> statement-breakpoint
CREATE INDEX "audit_entries_by_time" ON "audit_entries" USING btree ("tenant_id","create_time","entry_id");--> statement-breakpoint
CREATE INDEX "audit_entries_by_user" ON "audit_entries" USING btree ("tenant_id","user_id");--> statement-breakpoint
CREATE INDEX "events_by_time" ON "events" USING btree ("tenant_id","create_time","event_id");--> statement-breakpoint
CREATE INDEX "events_by_user" ON "events" USING btree ("tenant_id","user_id");