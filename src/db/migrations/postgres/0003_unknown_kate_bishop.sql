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
