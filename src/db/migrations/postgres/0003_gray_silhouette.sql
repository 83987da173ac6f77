CREATE TABLE "backup_code_sets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"state" text NOT NULL,
	"set_id" text NOT NULL,
	"total" integer NOT NULL,
	"remaining" integer NOT NULL,
	"pepper_id" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"confirm_time" timestamp (3) with time zone,
	"last_use_time" timestamp (3) with time zone,
	"low_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "backup_code_sets_tenant_id_user_id_state_pk" PRIMARY KEY("tenant_id","user_id","state")
);
--> statement-breakpoint
CREATE TABLE "backup_codes" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"set_id" text NOT NULL,
	"code_id" text NOT NULL,
	"selector" text NOT NULL,
	"salt" "bytea" NOT NULL,
	"verifier" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone,
	CONSTRAINT "backup_codes_tenant_id_user_id_code_id_pk" PRIMARY KEY("tenant_id","user_id","code_id")
);
--> statement-breakpoint
CREATE INDEX "backup_code_sets_by_time" ON "backup_code_sets" USING btree ("tenant_id","create_time","set_id");--> statement-breakpoint
CREATE UNIQUE INDEX "backup_codes_by_selector" ON "backup_codes" USING btree ("tenant_id","user_id","set_id","selector");