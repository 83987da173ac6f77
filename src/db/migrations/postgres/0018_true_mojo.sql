CREATE TABLE "webhook_endpoints" (
	"tenant_id" text NOT NULL,
	"endpoint_id" text NOT NULL,
	"url" text NOT NULL,
	"description" text NOT NULL,
	"types" json NOT NULL,
	"paused" boolean NOT NULL,
	"sealed_secret" "bytea" NOT NULL,
	"sealed_old_secret" "bytea",
	"old_secret_expire_time" timestamp (3) with time zone,
	"version" bigint NOT NULL,
	"position" bigint NOT NULL,
	"replays" integer NOT NULL,
	"lease_id" text,
	"next_attempt_time" timestamp (3) with time zone NOT NULL,
	"failures" integer NOT NULL,
	"last_error" text NOT NULL,
	"last_success_time" timestamp (3) with time zone,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "webhook_endpoints_tenant_id_endpoint_id_pk" PRIMARY KEY("tenant_id","endpoint_id")
);
--> statement-breakpoint
CREATE INDEX "webhook_endpoints_due" ON "webhook_endpoints" USING btree ("paused","next_attempt_time");