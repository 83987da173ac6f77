CREATE TABLE "ip_whitelist" (
	"tenant_id" text NOT NULL,
	"entry_id" text NOT NULL,
	"cidr" text NOT NULL,
	"label" text NOT NULL,
	"enabled" boolean NOT NULL,
	"expire_time" timestamp (3) with time zone,
	"version" bigint NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "ip_whitelist_tenant_id_entry_id_pk" PRIMARY KEY("tenant_id","entry_id")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "ip_whitelist_by_cidr" ON "ip_whitelist" USING btree ("tenant_id","cidr");