CREATE TABLE "assertions" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"assertion_id" text NOT NULL,
	"mfa_epoch" bigint NOT NULL,
	"prove_time" timestamp (3) with time zone NOT NULL,
	"consume_time" timestamp (3) with time zone,
	"expire_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "assertions_tenant_id_user_id_assertion_id_pk" PRIMARY KEY("tenant_id","user_id","assertion_id")
);
--> statement-breakpoint
CREATE TABLE "assertion_keys" (
	"sequence" integer NOT NULL,
	"key_id" text NOT NULL,
	"algorithm" text NOT NULL,
	"public_key" json NOT NULL,
	"sealed_private_key" "bytea" NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"use_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "assertion_keys_sequence_pk" PRIMARY KEY("sequence")
);
