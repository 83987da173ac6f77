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
ALTER TABLE "users" ADD COLUMN "cool_down_until_time" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "approvals_by_time" ON "approvals" USING btree ("tenant_id","create_time","approval_id");--> statement-breakpoint
CREATE INDEX "approvals_by_user" ON "approvals" USING btree ("tenant_id","user_id");