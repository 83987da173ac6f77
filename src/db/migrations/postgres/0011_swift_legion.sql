CREATE TABLE "tombstones" (
	"tenant_id" text NOT NULL,
	"user_digest" text NOT NULL,
	"erasure_id" text NOT NULL,
	"receipt_id" text NOT NULL,
	"state" text NOT NULL,
	"removed" json NOT NULL,
	"pseudonymised_count" integer NOT NULL,
	"erased_before" boolean NOT NULL,
	"erase_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "tombstones_tenant_id_user_digest_erasure_id_pk" PRIMARY KEY("tenant_id","user_digest","erasure_id")
);
--> statement-breakpoint
CREATE INDEX "request_ids_by_user" ON "request_ids" USING btree ("tenant_id","user_id");