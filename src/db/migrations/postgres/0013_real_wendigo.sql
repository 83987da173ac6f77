CREATE TABLE "webauthn_users" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"user_handle" "bytea" NOT NULL,
	"user_name" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "webauthn_users_tenant_id_user_id_pk" PRIMARY KEY("tenant_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "webauthn_credentials" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"credential_id" text NOT NULL,
	"webauthn_id" "bytea" NOT NULL,
	"rp_id" text NOT NULL,
	"public_key" "bytea" NOT NULL,
	"algorithm" integer NOT NULL,
	"row_mac" "bytea" NOT NULL,
	"counter" bigint NOT NULL,
	"user_verified" boolean NOT NULL,
	"backup_eligible" boolean NOT NULL,
	"backed_up" boolean NOT NULL,
	"transports" json NOT NULL,
	"attachment" text NOT NULL,
	"discoverable" boolean NOT NULL,
	"aaguid" text NOT NULL,
	"attested" boolean NOT NULL,
	"attestation_format" text NOT NULL,
	"clone_warning" boolean NOT NULL,
	"display_name" text NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone,
	CONSTRAINT "webauthn_credentials_tenant_id_user_id_credential_id_pk" PRIMARY KEY("tenant_id","user_id","credential_id")
);
--> statement-breakpoint
CREATE TABLE "webauthn_ceremonies" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"ceremony_id" text NOT NULL,
	"purpose" text NOT NULL,
	"challenge_digest" "bytea" NOT NULL,
	"session_digest" "bytea" NOT NULL,
	"challenge_id" text NOT NULL,
	"action_digest" "bytea",
	"rp_id" text NOT NULL,
	"user_verification" text NOT NULL,
	"discoverable" text NOT NULL,
	"attachment" text NOT NULL,
	"display_name" text NOT NULL,
	"user_name" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"spend_time" timestamp (3) with time zone,
	CONSTRAINT "webauthn_ceremonies_tenant_id_user_id_ceremony_id_pk" PRIMARY KEY("tenant_id","user_id","ceremony_id")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "webauthn_credentials_by_webauthn_id" ON "webauthn_credentials" USING btree ("webauthn_id");--> statement-breakpoint
CREATE INDEX "webauthn_ceremonies_by_challenge" ON "webauthn_ceremonies" USING btree ("tenant_id","user_id","challenge_digest");