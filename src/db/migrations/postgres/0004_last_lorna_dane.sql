CREATE TABLE "tickets" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"digest" "bytea" NOT NULL,
	"first_factor_time" timestamp (3) with time zone NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "tickets_tenant_id_user_id_digest_pk" PRIMARY KEY("tenant_id","user_id","digest")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "tickets_digest" ON "tickets" USING btree ("digest");