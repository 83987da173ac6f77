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
CREATE INDEX "risk_histories_by_time" ON "risk_histories" USING btree ("last_time");--> statement-breakpoint
CREATE INDEX "risk_decisions_by_time" ON "risk_decisions" USING btree ("tenant_id","create_time","decision_id");--> statement-breakpoint
CREATE INDEX "risk_decisions_by_user" ON "risk_decisions" USING btree ("tenant_id","user_id","create_time");