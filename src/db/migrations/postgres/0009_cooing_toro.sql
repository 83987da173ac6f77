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
CREATE INDEX "enforcement_deadlines_by_rule" ON "enforcement_deadlines" USING btree ("tenant_id","rule_id");