DROP INDEX "push_blocks_by_time";--> statement-breakpoint
CREATE INDEX "push_blocks_by_time" ON "push_blocks" USING btree ("tenant_id","hour","user_id");