CREATE TABLE "service_keys" (
	"tenant_id" text NOT NULL,
	"key_id" text NOT NULL,
	"digest" "bytea" NOT NULL,
	"secret_prefix" text NOT NULL,
	"service" text NOT NULL,
	"scopes" json NOT NULL,
	"networks" json NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"revoke_time" timestamp (3) with time zone,
	"last_use_time" timestamp (3) with time zone,
	"bound_mac" "bytea",
	CONSTRAINT "service_keys_tenant_id_key_id_pk" PRIMARY KEY("tenant_id","key_id")
);
--> statement-breakpoint
ALTER TABLE "users" ADD COLUMN "tokens_epoch" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE UNIQUE INDEX "service_keys_digest" ON "service_keys" USING btree ("digest");--> statement-breakpoint
CREATE INDEX "service_keys_by_end" ON "service_keys" USING btree ("expire_time");