CREATE TABLE "temporary_passes" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"pass_id" text NOT NULL,
	"issuer_id" text NOT NULL,
	"selector" text NOT NULL,
	"salt" "bytea" NOT NULL,
	"verifier" "bytea" NOT NULL,
	"start_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone,
	CONSTRAINT "temporary_passes_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
