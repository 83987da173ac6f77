CREATE TABLE "budgets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"budget" text NOT NULL,
	"key" text NOT NULL,
	"slices" json NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "budgets_tenant_id_user_id_budget_key_pk" PRIMARY KEY("tenant_id","user_id","budget","key")
);
--> statement-breakpoint
CREATE TABLE "otp_addresses" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"factor_id" text NOT NULL,
	"channel" text NOT NULL,
	"state" text NOT NULL,
	"sealed_address" "bytea" NOT NULL,
	"address_digest" "bytea" NOT NULL,
	"masked" text NOT NULL,
	"country" text NOT NULL,
	"block" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"verify_time" timestamp (3) with time zone,
	"last_use_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone,
	CONSTRAINT "otp_addresses_tenant_id_user_id_factor_id_pk" PRIMARY KEY("tenant_id","user_id","factor_id")
);
--> statement-breakpoint
CREATE TABLE "otp_challenges" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"challenge_id" text NOT NULL,
	"channel" text NOT NULL,
	"factor_id" text NOT NULL,
	"purpose" text NOT NULL,
	"session_id" text NOT NULL,
	"code_digest" "bytea" NOT NULL,
	"message_id" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"code_time" timestamp (3) with time zone NOT NULL,
	"resend_after_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "otp_challenges_tenant_id_user_id_challenge_id_pk" PRIMARY KEY("tenant_id","user_id","challenge_id")
);
--> statement-breakpoint
CREATE TABLE "send_decisions" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"decision_id" text NOT NULL,
	"channel" text NOT NULL,
	"purpose" text NOT NULL,
	"decision" text NOT NULL,
	"reasons" json NOT NULL,
	"masked" text NOT NULL,
	"country" text NOT NULL,
	"ip" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "send_decisions_tenant_id_decision_id_pk" PRIMARY KEY("tenant_id","decision_id")
);
--> statement-breakpoint
CREATE INDEX "send_decisions_by_user" ON "send_decisions" USING btree ("tenant_id","user_id","create_time");--> statement-breakpoint
CREATE INDEX "send_decisions_by_time" ON "send_decisions" USING btree ("tenant_id","create_time");