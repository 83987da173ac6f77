DROP INDEX `push_blocks_by_time`;--> statement-breakpoint
CREATE INDEX `push_blocks_by_time` ON `push_blocks` (`tenant_id`,`hour`,`user_id`);