CREATE TABLE "trusted_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"trusted_device_id" text NOT NULL,
	"series_digest" "bytea" NOT NULL,
	"counter" bigint NOT NULL,
	"secret_digest" "bytea" NOT NULL,
	"previous_digest" "bytea",
	"rotate_time" timestamp (3) with time zone NOT NULL,
	"display_name" text NOT NULL,
	"user_agent" text NOT NULL,
	"ip" text NOT NULL,
	"application" text NOT NULL,
	"mfa_epoch" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"last_use_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "trusted_devices_tenant_id_user_id_trusted_device_id_pk" PRIMARY KEY("tenant_id","user_id","trusted_device_id")
);
--> statement-breakpoint
CREATE TABLE "synced_devices" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"synced_device_id" text NOT NULL,
	"display_name" text NOT NULL,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "synced_devices_tenant_id_user_id_synced_device_id_pk" PRIMARY KEY("tenant_id","user_id","synced_device_id")
);
--> statement-breakpoint
CREATE TABLE "synced_blobs" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"synced_device_id" text NOT NULL,
	"version" bigint NOT NULL,
	"blob" "bytea" NOT NULL,
	"checksum" "bytea" NOT NULL,
	"size" integer NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "synced_blobs_tenant_id_user_id_synced_device_id_version_pk" PRIMARY KEY("tenant_id","user_id","synced_device_id","version")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "trusted_devices_by_series" ON "trusted_devices" USING btree ("tenant_id","user_id","series_digest");