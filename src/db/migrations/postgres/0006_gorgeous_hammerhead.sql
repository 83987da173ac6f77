ALTER TABLE "attempts" ADD COLUMN "count_id" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "consecutive_failures" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "recent" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "attempts" ADD COLUMN "lock_time" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "attempts_by_lock" ON "attempts" USING btree ("tenant_id","lock_expire_time") WHERE "attempts"."lock_expire_time" is not null;